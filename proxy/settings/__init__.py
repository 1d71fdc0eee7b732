"""The file an operator writes: read, checked, and told everything that is wrong with it.

tree.py      YAML text -> plain values, and where each of them stands
schema.py    what a settings file may say; the records of each block beside it
outline.py   the same as a JSON Schema, and which keys and words it knows at a place
mistakes.py  what pydantic found -> sentences for people
checks.py    what no block can see alone
parse.py     all of these in order
"""
