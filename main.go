// Sluice is an edge gateway scripted in Lua, built for the minute in which
// everybody arrives at once. `sluice help` lists what it can do.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sluice/bench"
	"sluice/gateway/cmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cmd.Execute(ctx, os.Args[1:],
		cmd.Run(), cmd.Gateway(), cmd.Settle(), cmd.Sync(),
		cmd.Redpacket(), cmd.Script(), cmd.Region(), cmd.Warm(),
		cmd.Token(), cmd.Config(),
		bench.Command(), bench.PlanCommand(),
	))
}
