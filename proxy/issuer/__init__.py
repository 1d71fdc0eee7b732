"""Short-lived client certificates for tokens: what may be asked, what is signed, what is written down.

Pure: the key, the time and every random number come in as arguments. The edge fetches them, and
keeps records and revocations in a store.

records       what is remembered of a certificate, a token that was exchanged, a revocation
requests      a certificate request: its key and the proof of possession, and nothing else of it
authority     an authority that signs: certificates and revocation lists
settings      the block `issuer`

What names of issued certificates mean is told in `identity.issued`, which reads them.
"""
