// Command gateway is grpc-gateway before a gRPC server that it reaches over a connection.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/kootask/kootask/bench/control"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

func main() {
	addr := flag.String("addr", "", "address of the port")
	upstream := flag.String("upstream", "", "address of the gRPC server")
	flag.Parse()
	mux := runtime.NewServeMux()
	plaintext := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if err := taskv1.RegisterTaskServiceHandlerFromEndpoint(context.Background(), mux, *upstream, plaintext); err != nil {
		log.Fatal(err)
	}
	log.Fatal(control.Listen(*addr, mux))
}
