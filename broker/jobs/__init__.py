"""Jobs as rows and as their owners see them: states, reports, views, exports."""
