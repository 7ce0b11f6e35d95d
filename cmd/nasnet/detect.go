package main

import "github.com/spf13/cobra"

func (a *app) detectCommand() *cobra.Command {
	c := &cobra.Command{Use: "detect", Short: "Detection: score"}
	c.AddCommand(a.detectScoreCommand())
	return c
}
