"""Verbs that show, list, measure, remove and hand over searches: from the ledger alone."""
