// Command etcd is etcd. Its server cannot be installed by "go install", because its module has replacements.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
