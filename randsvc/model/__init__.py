"""The model, its fallback, its features, and the baselines that it is compared with."""
