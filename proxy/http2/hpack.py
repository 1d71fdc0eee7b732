"""HPACK: header blocks to fields and back, fast where blocks repeat.

A block that puts nothing into the dynamic table means the same for as long as the
table has not moved. Both sides therefore remember blocks that will come again (of
indexed fields, and of literals whose names repeat their values), and `generation`
says when what was remembered with them (by us or by the relay) has expired:

    block, generation  ->  fields             (Decoder)
    fields, generation ->  block              (Encoder)

Secrets are the exception to every shortcut: their values enter no memory, and
the encoder never lets them into a table. (A peer may put one into its own table;
then it lives exactly as long as the peer keeps it there.)
"""

from proxy.http2.hpack_decoder import Decoder, HeaderListTooLarge, HpackError
from proxy.http2.hpack_encoder import Encoder
from proxy.http2.hpack_table import Field, NeverIndexed

__all__ = ["Decoder", "Encoder", "Field", "HeaderListTooLarge", "HpackError", "NeverIndexed"]
