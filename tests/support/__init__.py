"""What tests share: example data, results, schemes and models, and programs that tests start."""
