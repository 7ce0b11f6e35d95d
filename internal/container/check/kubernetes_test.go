package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// kinds are what the manifests may hold, by apiVersion and kind.
var kinds = map[string]func() metav1.Object{
	"v1 Namespace":                       func() metav1.Object { return &corev1.Namespace{} },
	"v1 ConfigMap":                       func() metav1.Object { return &corev1.ConfigMap{} },
	"v1 Service":                         func() metav1.Object { return &corev1.Service{} },
	"v1 PersistentVolumeClaim":           func() metav1.Object { return &corev1.PersistentVolumeClaim{} },
	"apps/v1 Deployment":                 func() metav1.Object { return &appsv1.Deployment{} },
	"apps/v1 StatefulSet":                func() metav1.Object { return &appsv1.StatefulSet{} },
	"batch/v1 Job":                       func() metav1.Object { return &batchv1.Job{} },
	"networking.k8s.io/v1 NetworkPolicy": func() metav1.Object { return &networkingv1.NetworkPolicy{} },
}

// decode is strict: an unknown or doubled field is an error.
func decode(t *testing.T, at string, text []byte) (all []metav1.Object) {
	t.Helper()
	for i, document := range bytes.Split(text, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatalf("%s, document %d: %v", at, i, err)
		}
		make := kinds[kind.APIVersion+" "+kind.Kind]
		if make == nil {
			t.Fatalf("%s, document %d: %s %s is not known to this test", at, i, kind.APIVersion, kind.Kind)
		}
		o := make()
		if err := yaml.UnmarshalStrict(document, o); err != nil {
			t.Errorf("%s: %s %s: %v", at, kind.Kind, o.GetName(), err)
		}
		all = append(all, o)
	}
	return all
}

// template is the pod that an object makes, if it makes pods.
func template(o metav1.Object) *corev1.PodTemplateSpec {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	case *batchv1.Job:
		return &o.Spec.Template
	}
	return nil
}

// built is `kubectl kustomize docs/kubernetes`.
func built(t *testing.T) []metav1.Object {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), root+"/docs/kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, "kustomize", text)
}

func TestManifestsAreStrict(t *testing.T) {
	files, err := filepath.Glob(root + "/docs/kubernetes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n += len(decode(t, file, text))
	}
	if all := built(t); len(all) != n {
		t.Errorf("the files hold %d objects, kustomization.yaml leads to %d: is a file missing in it?", n, len(all))
	}
}

// Every pod keeps to the restricted standard, which the namespace enforces, and
// goes beyond: a read-only root and no token of the API.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pods := 0
	for _, o := range built(t) {
		if o, ok := o.(*corev1.Namespace); ok && o.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("namespace %s enforces %v", o.Name, o.Labels)
		}
		p := template(o)
		if p == nil {
			continue
		}
		pods++
		restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
		for _, r := range evaluator.EvaluatePod(restricted, &p.ObjectMeta, &p.Spec) {
			if !r.Allowed {
				t.Errorf("%s: %s: %s", o.GetName(), r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
		if p.Spec.AutomountServiceAccountToken == nil || *p.Spec.AutomountServiceAccountToken {
			t.Errorf("%s gets a token of the API", o.GetName())
		}
		for _, c := range append(p.Spec.InitContainers, p.Spec.Containers...) {
			if r := c.SecurityContext.ReadOnlyRootFilesystem; r == nil || !*r {
				t.Errorf("%s/%s: its root can be written", o.GetName(), c.Name)
			}
			if c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s/%s has no limit of memory", o.GetName(), c.Name)
			}
			if mounts(c)["/tmp"] == "" && c.Name != "nats" {
				t.Errorf("%s/%s has no /tmp", o.GetName(), c.Name)
			}
		}
	}
	if pods < 6 {
		t.Errorf("%d pods only", pods)
	}
}

func mounts(c corev1.Container) map[string]string {
	at := map[string]string{}
	for _, m := range c.VolumeMounts {
		at[m.MountPath] = m.Name
	}
	return at
}

// What objects say of each other is there: volumes, claims, ConfigMaps, ports,
// the pods that services and policies choose.
func TestManifestsFitTogether(t *testing.T) {
	all := built(t)
	named := map[string]bool{}
	var pods []*corev1.PodTemplateSpec
	for _, o := range all {
		named[fmt.Sprintf("%T %s", o, o.GetName())] = true
		if p := template(o); p != nil {
			pods = append(pods, p)
		}
	}
	for _, p := range pods {
		volumes := map[string]bool{}
		for _, v := range p.Spec.Volumes {
			volumes[v.Name] = true
			if c := v.PersistentVolumeClaim; c != nil && !named["*v1.PersistentVolumeClaim "+c.ClaimName] {
				t.Errorf("no claim %s", c.ClaimName)
			}
			if c := v.ConfigMap; c != nil && !named["*v1.ConfigMap "+c.Name] {
				t.Errorf("no ConfigMap %s", c.Name)
			}
		}
		for _, c := range append(p.Spec.InitContainers, p.Spec.Containers...) {
			for at, name := range mounts(c) {
				if !volumes[name] {
					t.Errorf("%s: %s is mounted from %s, which is no volume", c.Name, at, name)
				}
			}
			if strings.HasSuffix(c.Image, "nasnet") || c.Image == "nasnet" {
				t.Errorf("%s: kustomization.yaml has not named the image %s", c.Name, c.Image)
			}
			for _, port := range c.Ports { // the command line listens there
				line := strings.Join(append(c.Command, c.Args...), " ")
				if number := fmt.Sprint(port.ContainerPort); !strings.Contains(line, number) && c.Name != "nats" {
					t.Errorf("%s: port %s is not in %s", c.Name, number, line)
				}
			}
		}
	}
	for _, o := range all {
		switch o := o.(type) {
		case *corev1.Service:
			for _, port := range o.Spec.Ports {
				if !offered(pods, labels.SelectorFromSet(o.Spec.Selector), port.TargetPort.StrVal) {
					t.Errorf("service %s: no pod offers %s", o.Name, port.TargetPort.StrVal)
				}
			}
		case *networkingv1.NetworkPolicy:
			chosen := []metav1.LabelSelector{o.Spec.PodSelector}
			for _, rule := range o.Spec.Ingress {
				for _, from := range rule.From {
					chosen = append(chosen, *from.PodSelector)
				}
			}
			for _, c := range chosen {
				selector, err := metav1.LabelSelectorAsSelector(&c)
				if err != nil || !offered(pods, selector, "") {
					t.Errorf("policy %s chooses no pod: %v, %v", o.Name, c.MatchLabels, err)
				}
			}
		}
	}
}

// offered reports whether a pod of the selector has the port of that name.
func offered(pods []*corev1.PodTemplateSpec, s labels.Selector, port string) bool {
	for _, p := range pods {
		if !s.Matches(labels.Set(p.Labels)) {
			continue
		}
		if port == "" {
			return true
		}
		for _, c := range p.Spec.Containers {
			for _, have := range c.Ports {
				if have.Name == port {
					return true
				}
			}
		}
	}
	return false
}
