package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"sluice/cachesync"
	"sluice/gateway/admin"
	"sluice/gateway/redpacket"
)

// nothing is a cache that holds nothing: commands ask the home.
type nothing struct{}

func (nothing) Read(_ context.Context, reads []cachesync.Read) error {
	for i := range reads {
		reads[i].State, reads[i].Err = cachesync.Miss, nil
	}
	return nil
}

// counter is what the redpacket commands work with.
type counter struct {
	*parts
	desk *redpacket.Home
}

// Redpacket is `sluice redpacket`: what operators do with red packets.
func Redpacket() *cobra.Command {
	var at place
	cmd := &cobra.Command{Use: "redpacket", Short: "Fund, show, close, reconcile and verify red packets"}
	at.flags(cmd)
	open := func() (*counter, error) {
		cfg, err := at.load()
		if err != nil {
			return nil, err
		}
		log, err := newLogger("warn")
		if err != nil {
			return nil, err
		}
		p, err := openParts(cfg, log, "")
		if err != nil {
			return nil, err
		}
		c := &counter{parts: p}
		if err := p.openHouse(false); err != nil {
			return nil, err
		}
		home := redpacket.HomeConfig{House: p.house, Cache: nothing{},
			SpreadAbove: cfg.RedPackets.SpreadAbove, SpreadParts: cfg.RedPackets.Parts}
		if at.file == "" {
			p.confirmed(&home)
		}
		c.desk, err = redpacket.NewHome(home)
		return c, err
	}
	cmd.AddCommand(redpacketFund(open), redpacketShow(open), redpacketClose(open))
	cmd.AddCommand(redpacketProofs(open)...)
	return cmd
}

type openCounter func() (*counter, error)

// withID runs f for the red packet that is the only argument.
func withID(open openCounter, f func(cmd *cobra.Command, c *counter, id redpacket.ID) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := open()
		if err != nil {
			return err
		}
		defer c.close()
		id, err := c.ids.Parse(args[0])
		if err != nil {
			return &exitError{2, fmt.Errorf("%.80q is not an id of a red packet of this house", args[0])}
		}
		if int(id.Home()) != c.cfg.HomeID() {
			return &exitError{2, fmt.Errorf("the home of %s is region %d and not this one's, which is %d: ask there", id, id.Home(), c.cfg.HomeID())}
		}
		return f(cmd, c, id)
	}
}

func redpacketFund(open openCounter) *cobra.Command {
	var uid, body, key string
	cmd := &cobra.Command{
		Use: `fund --uid U --body '{"amount":10000,"count":20}'`, Short: "Fund a red packet, as POST /v1/redpackets does", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := open()
			if err != nil {
				return err
			}
			defer c.close()
			req, err := redpacket.ParseFund([]byte(body))
			if err != nil {
				return &exitError{2, err}
			}
			req.Sender, req.Key, req.Home = uid, key, uint8(c.cfg.HomeID())
			funded, err := redpacket.NewArchived(c.desk, c.archives(c.archive()), c.ids).Fund(cmd.Context(), req)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), funded.ID)
			return nil
		},
	}
	cmd.Flags().StringVar(&uid, "uid", "", "the sender")
	cmd.Flags().StringVar(&body, "body", "", "the request's JSON")
	cmd.Flags().StringVar(&key, "key", "", "Idempotency-Key: the same key is the same red packet")
	cmd.MarkFlagRequired("uid")
	cmd.MarkFlagRequired("body")
	return cmd
}

func redpacketShow(open openCounter) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "The state of a red packet at its home", Args: cobra.ExactArgs(1),
		RunE: withID(open, func(cmd *cobra.Command, c *counter, id redpacket.ID) error {
			s, err := c.desk.Show(cmd.Context(), id)
			if err != nil {
				return err
			}
			return printState(cmd.OutOrStdout(), s)
		}),
	}
}

func redpacketClose(open openCounter) *cobra.Command {
	return &cobra.Command{
		Use: "close ID", Short: "Close a red packet now; what is left goes back to the sender", Args: cobra.ExactArgs(1),
		RunE: withID(open, func(cmd *cobra.Command, c *counter, id redpacket.ID) error {
			s, err := c.desk.Close(cmd.Context(), id, "")
			if err != nil {
				return err
			}
			return printState(cmd.OutOrStdout(), s)
		}),
	}
}

func printState(out io.Writer, s redpacket.State) error {
	at := func(unixMS int64) string {
		if unixMS == 0 {
			return "-"
		}
		return time.UnixMilli(unixMS).Format(time.RFC3339)
	}
	_, err := fmt.Fprintf(out, `id           %s
state        %s
sender       %s
mode         %s
audience     %s
lock         %s
amount       %d fen
count        %d
left         %d
left_amount  %d fen
quarantined  %d
opens_at     %s
closes_at    %s
commit       %s
`, s.ID, s.State, s.Sender, s.Mode, s.Audience, s.Lock, s.Amount, s.Count, s.Left, s.LeftAmount, s.Quarantined, at(s.OpensAt), at(s.ClosesAt), s.Commit)
	return err
}

// redpacketAdmin adds the operators' routes for red packets:
//
//	GET  /admin/redpackets/{id}
//	POST /admin/redpackets/{id}/close
func redpacketAdmin(server *admin.Server, desk redpacket.Desk, ids *redpacket.IDs) {
	handle := func(f func(ctx context.Context, id redpacket.ID) (redpacket.State, error)) func(r *http.Request) (any, error) {
		return func(r *http.Request) (any, error) {
			id, err := ids.Parse(r.PathValue("id"))
			if err == nil {
				var s redpacket.State
				if s, err = f(r.Context(), id); err == nil {
					return json.RawMessage(fmt.Sprintf(`{"id":%q,"state":%q,"count":%d,"left":%d,"amount":%d,"left_amount":%d,"quarantined":%d}`,
						id, s.State, s.Count, s.Left, s.Amount, s.LeftAmount, s.Quarantined)), nil
				}
			}
			switch {
			case errors.Is(err, redpacket.ErrNotFound):
				return nil, &admin.Error{Status: 404, Code: "not_found", Message: "no such red packet"}
			case errors.Is(err, redpacket.ErrNotReady):
				return nil, &admin.Error{Status: 409, Code: "not_ready", Message: err.Error()}
			}
			return nil, &admin.Error{Status: 503, Code: "later", Message: err.Error()}
		}
	}
	server.HandleFunc("GET /admin/redpackets/{id}", handle(desk.Show))
	server.HandleFunc("POST /admin/redpackets/{id}/close", handle(func(ctx context.Context, id redpacket.ID) (redpacket.State, error) {
		return desk.Close(ctx, id, "")
	}))
}
