"""Many hosts for real, on one machine: network namespaces, a switch between them, a cluster, a leaf node, and a lab over all of it."""
