"""Starting, watching and ending the processes that Nectorbridge consists of."""
