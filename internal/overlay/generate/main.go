// Command generate makes the overlay that the module's programs are built with,
// in the given folder, and prints the path to give to go build -overlay:
//
//	go run ./internal/overlay/generate bin/overlay
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/kudu2kafka/kudu2kafka/internal/overlay"
)

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: generate FOLDER [GO-COMMAND]")
		os.Exit(2)
	}
	goCommand := "go"
	if len(os.Args) == 3 {
		goCommand = os.Args[2]
	}
	path, err := overlay.Write(context.Background(), goCommand, os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
