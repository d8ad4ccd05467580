//go:build !unix

package service

import "errors"

// canReadFD is false where sockets are not read through plain descriptors;
// waiting then reads one byte ahead.
const canReadFD = false

var errWouldBlock = errors.New("service: would block")

func readFD(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
