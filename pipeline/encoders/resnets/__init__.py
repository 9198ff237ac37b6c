"""Bottleneck ResNets: the network, and every way in which their weights are passed around."""
