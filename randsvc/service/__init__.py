"""The two services, /random and /login: applications, feedback, tokens, workers, serving."""
