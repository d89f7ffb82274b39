"""From float tensors to the integers of a workload: the arithmetic that training and import share. No torch."""
