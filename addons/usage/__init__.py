"""What calls used and cost, kept in a database: the ledger."""
