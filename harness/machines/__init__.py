"""Virtual machines: their boxes, what runs them, and bringing one up by Vagrant."""
