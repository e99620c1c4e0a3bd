// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"syscall"
	"time"
)

// pingpong CERTIFICATE KEY CA SIZE: as pingpong.c. For each number on standard input, makes so many round trips on
// one connection to itself and prints the microseconds that one took, by the clock and of the processor.
func pingPong(arguments []string) {
	runtime.GOMAXPROCS(1)
	size := number(arguments[3])
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		plain, err := listener.Accept()
		check(err)
		echo(tls.Server(plain, serverConfig(arguments[0], arguments[1])), size)
	}()
	plain, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	conn := tls.Client(plain, clientConfig(arguments[2], ""))
	message := make([]byte, size)
	for {
		var rounds int
		if _, err := fmt.Scan(&rounds); err != nil {
			return
		}
		began, busy := time.Now(), processorTime()
		for i := 0; i < rounds; i++ {
			_, err = conn.Write(message)
			check(err)
			_, err = io.ReadFull(conn, message)
			check(err)
		}
		each := 1000 * float64(rounds)
		fmt.Printf("%.4f %.4f\n", float64(time.Since(began))/each, float64(processorTime()-busy)/each)
	}
}

func echo(conn *tls.Conn, size int) {
	message := make([]byte, size)
	for {
		if _, err := io.ReadFull(conn, message); err != nil {
			return
		}
		_, err := conn.Write(message)
		check(err)
	}
}

func processorTime() time.Duration {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
