"""`make demo`: the whole loop on a real Kubernetes with real flights, ending with a verdict, a picture and a report."""
