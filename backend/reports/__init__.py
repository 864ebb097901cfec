"""Reports that users keep and print: one HTML file with tables and drawings, which needs nothing else."""
