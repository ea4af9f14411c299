"""The command `modelmend`. Every command imports what it needs when it runs: the operator's image has no
scikit-learn, the runtime's image no kopf, and `--help` waits for neither."""
