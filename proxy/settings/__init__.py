"""The file an operator writes: read, checked, and told everything that is wrong with it.

tree.py         YAML text -> plain values, and where each of them stands
schema.py       what a settings file may say; the record of each block beside it
json_schema.py  the same as a JSON Schema; outline.py asks it what is known at a place
mistakes.py     what pydantic found -> sentences for people
checks.py       what no block can see alone; pool_checks.py the same of daemons
parse.py        all of these in order
references.py   which files the settings name
changes.py      what a reload changes
"""
