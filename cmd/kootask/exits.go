package main

// Exit codes.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitFailed      = 3 // A task has failed.
	exitNotFound    = 4 // KooDrive has no such task.
	exitRefused     = 5 // The credential or the caller is refused, or may not see the task.
	exitDiffers     = 6 // KooDrive differs from the dialect in force.
	exitInterrupted = 130
)

// exits are the exit codes with their meaning, for the documentation.
var exits = []struct {
	code    int
	meaning string
}{
	{exitOK, "All tasks succeeded; for `get`, the task has not failed. A server stopped in order."},
	{exitError, "Any other error."},
	{exitUsage, "The command line or the configuration is invalid. Nothing was started."},
	{exitFailed, "A task has failed."},
	{exitNotFound, "KooDrive has no such task."},
	{
		exitRefused, "The credential or the caller is refused, or may not see the task. " +
			"`doctor`: the credential is refused in every form that was asked.",
	},
	{exitDiffers, "`doctor`: KooDrive differs from the dialect in force."},
	{exitInterrupted, "The command was interrupted."},
}
