"""Tests in Firefox: what the pages do by means that each browser has of its own."""
