// Package process starts the programs that the suite on real parts watches and
// keeps them on a leash: each writes a log file, can be killed by its own pid,
// and none outlives the program that started it, whatever ends that.
package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// A Group is a set of processes that end together.
type Group struct {
	directory string
	start     chan startRequest
	stopped   chan struct{}

	mu        sync.Mutex
	closed    bool
	processes []*Process
}

type startRequest struct {
	command *exec.Cmd
	result  chan error
}

// NewGroup returns an empty group whose processes log into directory, which is
// created.
func NewGroup(directory string) (*Group, error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, fmt.Errorf("create the folder for logs: %w", err)
	}
	g := &Group{directory: directory, start: make(chan startRequest), stopped: make(chan struct{})}
	go func() {
		// The kernel kills a child with Pdeathsig when the *thread* that started
		// it ends. So all are started on one thread that lives as long as the
		// group, or until this program is gone, be it by kill -9.
		runtime.LockOSThread()
		defer close(g.stopped)
		for request := range g.start {
			request.result <- request.command.Start()
		}
	}()
	return g, nil
}

// Directory is where the processes write their logs.
func (g *Group) Directory() string { return g.directory }

// Start runs argv with env added to this program's environment. Both output
// streams go to <name>.log in the group's directory, after what an earlier
// process of that name wrote there.
func (g *Group) Start(name string, argv []string, env ...string) (*Process, error) {
	path := filepath.Join(g.directory, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close() // The child has its own copy.
	command := exec.Command(argv[0], argv[1:]...)
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), env...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, fmt.Errorf("start %s: the group is closed", name)
	}
	request := startRequest{command: command, result: make(chan error)}
	g.start <- request
	if err := <-request.result; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Name: name, Log: path, command: command, done: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.done)
	}()
	g.processes = append(g.processes, p)
	return p, nil
}

// Close ends every process that still runs, the last one started first: by
// SIGTERM, and by SIGKILL after grace.
func (g *Group) Close(grace time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	deadline, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if grace > 0 {
		for _, p := range slices.Backward(g.processes) {
			p.Signal(syscall.SIGTERM)
		}
	}
	for _, p := range slices.Backward(g.processes) {
		select {
		case <-p.done:
		case <-deadline.Done():
			p.Kill()
		}
	}
	close(g.start)
	<-g.stopped
}

// A Process that was started by a Group.
type Process struct {
	Name string
	// Log is the path of the file that has its output.
	Log string

	command *exec.Cmd
	done    chan struct{}
	err     error
}

// PID of the process, which is its process group's too.
func (p *Process) PID() int { return p.command.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the process ended, nil while it runs or when it ended well.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Signal sends s to the process and to whatever it started.
func (p *Process) Signal(s syscall.Signal) {
	select {
	case <-p.done: // Its pid may be somebody else's by now.
	default:
		_ = syscall.Kill(-p.PID(), s)
	}
}

// Kill ends the process as kill -9 does and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Terminate asks the process to end and waits for that until ctx ends.
func (p *Process) Terminate(ctx context.Context) error {
	p.Signal(syscall.SIGTERM)
	return p.Wait(ctx)
}

// Wait until the process has ended. The error is only of ctx; see Err for how
// the process ended.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s to end: %w", p.Name, ctx.Err())
	}
}

// CPU is the processor time, user and system, that the process has used up to
// now, threads that have ended included, in nanoseconds where /proc/pid/stat has
// hundredths of a second. Source: clock_getcpuclockid(3), whose result on Linux
// is the complement of the pid, shifted by three, and 2 for the scheduler's count.
func (p *Process) CPU() (time.Duration, error) {
	var spent syscall.Timespec
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(^p.PID()<<3|2), uintptr(unsafe.Pointer(&spent)), 0); err != 0 {
		return 0, fmt.Errorf("read the processor time of %s: %w", p.Name, err)
	}
	return time.Duration(spent.Nano()), nil
}

// Tail returns the last lines of the process's log, at most n bytes of it.
func (p *Process) Tail(n int) string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	if len(text) > n {
		text = text[len(text)-n:]
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
	}
	return string(text)
}
