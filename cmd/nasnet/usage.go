package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// strict makes wrong usage of what a command cannot take, for it and all below it:
// too few or too many arguments, or a sub-command that it does not have, for which
// cobra prints its help and reports success.
func strict(c *cobra.Command) {
	switch check := c.Args; {
	case c.HasSubCommands() && !c.Runnable():
		c.DisableFlagsInUseLine, c.Args, c.RunE = true, cobra.ArbitraryArgs, helpOrUsage
	case check != nil:
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usagef("%s: %v; it is called as %q", c.CommandPath(), err, c.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

// helpOrUsage is a command that only holds others.
func helpOrUsage(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	c.SuggestionsMinimumDistance = 2
	hint := ""
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return usagef("%s has no command %q%s", c.CommandPath(), args[0], hint)
}

// checkpointThere refuses a checkpoint of which there is neither a directory nor an
// index, before anything starts; key names what asks for it.
func checkpointThere(key, path string) error {
	if path == "" || exists(path) || exists(path+".index") {
		return nil
	}
	return usagef("%s: %s is no checkpoint: there is neither such a directory nor %s.index", key, path, path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
