package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/ledger"
)

func (a *app) ledgerWitnessCommand() *cobra.Command {
	var listen, name string
	var logs []string
	c := &cobra.Command{
		Use:   "witness DIR",
		Short: "Cosign the checkpoints of ledgers, and refuse a rewritten one",
		Long: `Witness serves C2SP tlog-witness. It keeps the last checkpoint of every log in DIR,
cosigns one only if it extends that, and so refuses a log that was rolled back or
forked. Run it where the ledger's administrator has no access. It speaks HTTP;
put a proxy with TLS before it where the network is not trusted.

Its key is made at the first start and printed at every one.`,
		Args: oneFolder,
		RunE: func(c *cobra.Command, args []string) error {
			if len(logs) == 0 {
				return usageError("a witness wants at least one log\nhint: --log KEY, the public key that `bailey ledger init` prints")
			}
			w, err := ledger.OpenCosigner(args[0], name, logs)
			if err != nil {
				return err
			}
			defer w.Close()
			socket, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("--listen: %w", err)
			}
			fmt.Fprintf(a.stdout, "%s\n", w.Key())
			fmt.Fprintf(a.stderr, "Cosigning for %s on http://%s. Ledgers name it by --witness KEY=URL; its key is above.\n", plural(len(logs), "log"), socket.Addr())
			return w.Serve(c.Context(), socket)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8765", "the address to serve on")
	c.Flags().StringVar(&name, "name", "", "the witness's name, when it is made (default: a random one)")
	c.Flags().StringArrayVar(&logs, "log", nil, "the public key of a log to cosign for (repeat)")
	return c
}
