"""Telling people things outside the pages: SMS today."""
