"""The commands of `harness`, a module for each family; what a command needs it imports when it runs."""
