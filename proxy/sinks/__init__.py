"""Readers of the event stream: metrics, audit and log.

    stream      hands every event to every sink; a failing sink never breaks a call
    prometheus  counts, by the table in `metric_table`
    audit       one chained JSON line for each decision (`chain`, `audit_records`, `audit_file`)
    log         one line for each fact an operator needs (`wording`, `outlet`, `flood`)

A sink is a callable that takes an event. No other room names a metric or a logger.
"""
