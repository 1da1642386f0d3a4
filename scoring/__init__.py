"""Logs -> one table of trials -> times to target -> scores, how sure they are -> tables, pictures and a page.

Its rooms import one another one way: page, tables -> certainty -> rules -> logs, published.
"""
