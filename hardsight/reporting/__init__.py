"""Views of a result: the report page, the review application and notebook charts."""
