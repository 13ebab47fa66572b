package loopback_test

import (
	"testing"

	"github.com/kootask/kootask/internal/loopback"
)

func TestHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.8.9.10": true, "::1": true, "::1%lo": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "::ffff:10.0.0.1": false, "fe80::1%lo": false, "128.0.0.1": false,
		"localhost.": false, "localhost.example": false, "127.0.0.1.example": false, "127.1": false, "[::1]": false, "127.0.0.1:80": false,
	} {
		if got := loopback.Host(host); got != want {
			t.Errorf("Host(%q) = %v", host, got)
		}
	}
}
