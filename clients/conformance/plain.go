package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// plain runs the checks of clients/plain: clients that use gRPC's own library, Google's waiters for long-running operations,
// an HTTP client or a tool in place of kootask's library. Each behaves differently.
func plain(ctx context.Context, out io.Writer, dir string) error {
	const folder = "clients/plain"
	program, err := build(ctx, filepath.Join(dir, "kootask"))
	if err != nil {
		return err
	}
	koodrive, url, err := launch(ctx, program, `(http://127\.0\.0\.1:\d+)`,
		"simulate", "--addr=127.0.0.1:0", "--script="+filepath.Join(folder, "script.json"))
	if err != nil {
		return err
	}
	defer koodrive.end(os.Kill)
	serve, ports, err := launch(ctx, program, `"grpc":"([^"]+","http":"[^"]+)"`,
		"serve", "--upstream-allow-http", "--upstream-url="+url,
		"--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=", "--log-format=json")
	if err != nil {
		return err
	}
	defer serve.end(os.Kill)
	grpcPort, httpPort, _ := strings.Cut(ports, `","http":"`)
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "-C", folder, "check")
	cmd.Env = append(os.Environ(), "KOOTASK_GRPC="+grpcPort, "KOOTASK_HTTP="+httpPort, "no_proxy=127.0.0.1")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("checks of clients/plain: %w", err)
	}
	return nil
}
