"""Measured operators as evidence (`rows`), tables for the shell (`tables`) and figures (`plots`)."""
