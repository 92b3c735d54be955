"""Evaluation: restoration metrics."""
