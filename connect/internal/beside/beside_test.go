package beside

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// script runs an ask that takes some time and comes to something.
func script(took time.Duration, good time.Duration, err error, apply func()) func(context.Context) (func(), time.Duration, error) {
	return func(ctx context.Context) (func(), time.Duration, error) {
		select {
		case <-time.After(took):
			return apply, good, err
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a Ask
		applied := 0
		apply := func() { applied++ }
		round := func(took time.Duration, err error) (waited time.Duration) {
			t.Helper()
			began := time.Now()
			if !a.Due(began) {
				t.Fatal("not due")
			}
			a.Start(t.Context(), script(took, time.Minute, err, apply))
			if a.Due(began) {
				t.Fatal("due while it is under way")
			}
			a.Wait(t.Context(), Stall, time.Hour, nil)
			waited = time.Since(began)
			time.Sleep(took)
			synctest.Wait()
			if !a.Collect(time.Now()) || a.Collect(time.Now()) {
				t.Fatal("collected not once")
			}
			return waited
		}
		due := func(want time.Duration) {
			t.Helper()
			now := time.Now()
			if a.Due(now.Add(want-1)) || !a.Due(now.Add(want)) {
				t.Errorf("not due after %v", want)
			}
			time.Sleep(want)
		}
		if waited := round(Stall/2, nil); waited != Stall/2 || applied != 1 {
			t.Errorf("waited %v, applied %d", waited, applied)
		}
		due(time.Minute)
		if waited := round(2*Stall, nil); waited != Stall {
			t.Errorf("waited %v for one that is slow", waited)
		}
		due(time.Minute)
		if waited := round(Stall/2, nil); waited != 0 {
			t.Errorf("waited %v for one that was slow", waited)
		}
		due(time.Minute)
		if waited := round(Stall/2, nil); waited != Stall/2 {
			t.Errorf("waited %v for one that is fast again", waited)
		}
		due(time.Minute)
		for _, want := range []time.Duration{0, 5 * time.Second, 10 * time.Second, 20 * time.Second} {
			round(0, errors.New("refused"))
			due(want)
		}
		round(0, nil)
		due(time.Minute)
		for _, want := range []time.Duration{5 * time.Second, 10 * time.Second} {
			round(0, connect.Timeout)
			due(want)
		}
		a.Reset()
		if !a.Due(time.Time{}) {
			t.Error("not due after a reset")
		}
		if applied != 10+1 {
			t.Errorf("applied %d times", applied)
		}
	})
}

func TestAskThatPanicsOrGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a Ask
		a.Start(t.Context(), func(context.Context) (func(), time.Duration, error) { panic("hunter2") })
		a.Wait(t.Context(), Stall, time.Hour, nil)
		if !a.Collect(time.Now()) || !errors.Is(a.err, connect.Decode) {
			t.Errorf("err = %v", a.err)
		}
		progress, ctx := make(chan struct{}), t.Context()
		a.Start(ctx, script(time.Hour, 0, nil, nil))
		go func() {
			for range 3 {
				time.Sleep(Stall / 2)
				progress <- struct{}{}
			}
		}()
		began := time.Now()
		if a.Wait(ctx, Stall, time.Hour, progress); time.Since(began) != 5*Stall/2 {
			t.Errorf("waited %v", time.Since(began))
		}
		time.Sleep(time.Hour)
	})
}

func TestHealthOf(t *testing.T) {
	for _, test := range []struct {
		code int
		body string
		want Health
	}{
		{http.StatusOK, `{"status":"healthy","message":"Worker has completed startup and is ready to handle requests."}`, Healthy},
		{http.StatusServiceUnavailable, `{"status":"starting","message":"Worker is still starting up."}`, Unhealthy},
		{http.StatusInternalServerError, `{"status":"unhealthy","message":"Worker was unable to handle this request"}`, Unhealthy},
		{http.StatusNotFound, `{"error_code":404,"message":"HTTP 404 Not Found"}`, NeverHealth},
		{http.StatusNotFound, `<html>`, NoHealth},
		{http.StatusNotFound, `{}`, NoHealth},
		{http.StatusOK, `<html>`, NoHealth},
		{http.StatusOK, `{"status":"ok"}`, NoHealth},
		{http.StatusOK, `{"status":7}`, NoHealth},
		{http.StatusBadGateway, `{"message":"no upstream"}`, NoHealth},
		{http.StatusUnauthorized, `User cannot access the resource.`, NoHealth},
		{http.StatusOK, `{"status":"unhealthy"}`, NoHealth},
	} {
		if got := HealthOf(test.code, []byte(test.body)); got != test.want {
			t.Errorf("%d %s is %d, want %d", test.code, test.body, got, test.want)
		}
	}
	if NeverHealth.Again() != HealthRarely || NoHealth.Again() != HealthSeldom || Unhealthy.Again() != HealthEvery {
		t.Error("asked at the wrong time")
	}
}
