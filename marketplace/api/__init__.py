"""The HTTP faces: clients (/api/v1), compute workers (/worker/v1), the provider's webhook."""
