//go:build unix

package service

import (
	"io"
	"syscall"
)

// canReadFD says that awaitRaw works here.
const canReadFD = true

var errWouldBlock error = syscall.EAGAIN

// readFD reads from a non-blocking descriptor.
func readFD(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), b)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
