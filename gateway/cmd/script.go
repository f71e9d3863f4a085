package cmd

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sluice/lua/bundle"
)

// Script is `sluice script`: what operators do with bundles.
func Script() *cobra.Command {
	var at place
	var addr string
	cmd := &cobra.Command{Use: "script", Short: "Check, try, push and roll back the Lua handlers"}
	at.flags(cmd)
	cmd.PersistentFlags().StringVar(&addr, "admin", "", "admin address of the gateway; default: admin.listen of the configuration")
	client := func() (adminClient, error) {
		cfg, err := at.load()
		return newAdminClient(cfg, addr), err
	}
	cmd.AddCommand(scriptList(client), scriptPush(client), scriptRollback(client), scriptDiff(client), scriptCheck(), scriptRun())
	return cmd
}

type connect func() (adminClient, error)

func scriptList(client connect) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The live version, the ones before it, and what is wrong on disk", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client()
			if err != nil {
				return err
			}
			var scripts struct {
				History   []bundle.Version `json:"history"`
				LastError *bundle.Failure  `json:"last_error"`
			}
			if err := c.call("GET", "/admin/scripts", nil, &scripts); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, v := range scripts.History {
				mark := " "
				if v.Live {
					mark = "*"
				}
				fmt.Fprintf(out, "%s %s  %s  %3d files  by %s\n", mark, v.Version, v.Loaded.Format("2006-01-02 15:04:05"), v.Files, v.From)
			}
			if scripts.LastError != nil {
				fmt.Fprintf(out, "! what is on disk is not live: %s\n", scripts.LastError.Message)
			}
			return nil
		},
	}
}

func scriptPush(client connect) *cobra.Command {
	return &cobra.Command{
		Use: "push DIR", Short: "Make a folder of scripts live, if all of it is good", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client()
			if err != nil {
				return err
			}
			files, err := readScripts(args[0])
			if err != nil {
				return err
			}
			var v bundle.Version
			if err := c.call("POST", "/admin/scripts/push", files, &v); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "live: %s (%d files)\n", v.Version, v.Files)
			return nil
		},
	}
}

func scriptRollback(client connect) *cobra.Command {
	return &cobra.Command{
		Use: "rollback [VERSION]", Short: "Put the previous version back, or the one named", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client()
			if err != nil {
				return err
			}
			var v bundle.Version
			if err := c.call("POST", "/admin/scripts/rollback", map[string]string{"version": strings.Join(args, "")}, &v); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "live: %s; it serves until the next change on disk\n", v.Version)
			return nil
		},
	}
}

func scriptDiff(client connect) *cobra.Command {
	return &cobra.Command{
		Use: "diff DIR [VERSION]", Short: "Which files of DIR differ from the live version, or from VERSION", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client()
			if err != nil {
				return err
			}
			version := ""
			if len(args) == 2 {
				version = args[1]
			}
			var live map[string]string
			if err := c.call("GET", "/admin/scripts/files?version="+version, nil, &live); err != nil {
				return err
			}
			here, err := readScripts(args[0])
			if err != nil {
				return err
			}
			all := maps.Clone(live)
			maps.Copy(all, here)
			for _, name := range slices.Sorted(maps.Keys(all)) {
				old, was := live[name]
				now, is := here[name]
				switch {
				case !was:
					fmt.Fprintf(cmd.OutOrStdout(), "+ %s\n", name)
				case !is:
					fmt.Fprintf(cmd.OutOrStdout(), "- %s\n", name)
				case old != now:
					fmt.Fprintf(cmd.OutOrStdout(), "~ %s: line %d\n", name, firstDifference(old, now))
				}
			}
			return nil
		},
	}
}

// firstDifference is the number of the first line that differs.
func firstDifference(a, b string) int {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return i + 1
		}
	}
	return min(len(x), len(y)) + 1
}

// readScripts reads what of a folder belongs to a bundle.
func readScripts(dir string) (bundle.Files, error) {
	files := bundle.Files{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if rel = filepath.ToSlash(rel); bundle.DefaultIgnore(rel) {
			return nil
		}
		text, err := os.ReadFile(path)
		files[rel] = string(text)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	return files, nil
}
