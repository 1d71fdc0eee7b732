"""What a build may ask for: rules per policy, asked of both messages that may say it. Pure.

engine          a policy: all its rules as one judgement
rule            what a rule is
rules/          one file a rule
images          names of images as daemons read them; image_patterns allows them
attributes      values of attributes as daemons read them

A rule that is enforced refuses, or makes the request ask for less. In shadow it changes
nothing, and what it would have refused is told.
"""
