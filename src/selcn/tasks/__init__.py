"""What is particular to a kind of network: labels, network, data, loss, metric."""
