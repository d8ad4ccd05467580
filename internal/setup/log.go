package setup

import (
	"fmt"
	"io"

	"rialto/internal/model"
)

// progressLog writes "Exchange Server Setup Progress.log":
// a time, then what is entered and left, and errors with a code.
type progressLog struct {
	w     io.Writer
	clock model.Clock
}

// line writes one line. A log that can not be written does not stop Setup.
func (l *progressLog) line(text string) {
	if l.w != nil {
		fmt.Fprintf(l.w, "[%s] %s\r\n", l.clock().Format("15:04:05"), text)
	}
}

func (l *progressLog) banner() { l.line("********** Beginning Setup run **********") }

func (l *progressLog) entering(name string) { l.line("Entering " + name) }

func (l *progressLog) leaving(name string) { l.line("Leaving " + name) }

func (l *progressLog) failed(name string, err error) {
	if l.w == nil {
		return
	}
	code := resultCode(model.KindOf(err))
	l.line(" " + name + " (rialto/setup)")
	fmt.Fprintf(l.w, "\tError code 0X%08X (%d): %s\r\n", code, code&0xffff, err)
}

// resultCode is the Win32 error that says the same, as an HRESULT (MS-ERREF
// 2.1 and 2.2).
func resultCode(k model.Kind) uint32 {
	const win32 = 0x80070000
	switch k {
	case model.KindPermission, model.KindAuth:
		return win32 | 5
	case model.KindInvalid:
		return win32 | 87
	case model.KindNotFound:
		return win32 | 2
	case model.KindExists:
		return win32 | 183
	case model.KindConflict:
		return win32 | 1603
	case model.KindCanceled:
		return win32 | 1223
	case model.KindUnavailable:
		return win32 | 1722
	}
	return 0x80004005
}
