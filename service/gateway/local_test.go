package gateway

import "testing"

func TestOnlyThisMachineIsLocal(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.0.0.1": true, "localhost": true, "LOCALHOST": true, "LocalHost:8080": true, "LOCALHOST.evil.example": false, "localhost:8080": true, "[::1]:8080": true, "[::1]": true, "127.9.9.9": true,
		"": false, "evil.example": false, "evil.example:8080": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"0.0.0.0": false, "192.0.2.1:8080": false, "[::1].evil.example": false,
	} {
		if got := IsLocal(host); got != want {
			t.Errorf("IsLocal(%q) = %v", host, got)
		}
	}
}
