"""One page with every measurement of Geva et al. (2022), the paper's numbers beside."""
