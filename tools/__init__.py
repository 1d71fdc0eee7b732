"""What developers of kilngate run; nothing here is installed."""
