"""The HTTPS API on the public port: what a client needs before it can build, and certificates for tokens.

visitor       one connection: TLS as a transport of asyncio, for one request
protocol      aiohttp's HTTP/1.1 on it, with refusals in our own words
application   what each path answers
answers       how answers and refusals are written
facts         what everybody may know of this farm
description   the API in OpenAPI's words
setup_script  the shell script for machines without Python
"""
