"""Feature columns of tables: what each holds, how it becomes numbers, and which columns are no features.

:func:`hardsight.data.feature_columns.clean.clean_columns` tries the kinds of columns in turn. A new kind is a module here
and a line there.
"""
