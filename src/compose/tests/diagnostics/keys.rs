//! Attributes that do not exist.

use super::super::diagnose;

#[test]
fn unknown_key_with_a_near_one() {
    let text = r#"services:
  web:
    image: x
    prots: ['80:80']
    healtcheck: {test: x}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:5 `prots` error: `services.web` has no attribute `prots` (unknown)
        did you mean `ports`?
    stack.yml:5:5 `healtcheck` error: `services.web` has no attribute `healtcheck` (unknown)
        did you mean `healthcheck`?
    "#);
}

#[test]
fn unknown_key_far_from_all() {
    let text = r#"services:
  web:
    image: x
    logging: {colour: red}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:15 `colour` error: `services.web.logging` has no attribute `colour` (unknown)
        logging takes `driver`, `options`
    "#);
}

#[test]
fn service_attribute_at_the_top() {
    let text = r#"image: x
services: {a: {image: x}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:1:1 `image` error: the file has no attribute `image` (unknown)
        `image` belongs into a service: services.NAME.image
    "#);
}

#[test]
fn unknown_keys_at_every_level() {
    let text = r#"serivces: {}
services:
  a:
    image: x
    healthcheck: {intervall: 1s}
    deploy: {resources: {limit: {memory: 1g}}}
    ports: [{taget: 80}]
    depends_on: {b: {conditon: service_started}}
    networks: {n: {alias: [x]}}
  b: {image: x}
networks:
  n: {drivr: bridge, ipam: {configs: []}}
volumes:
  v: {extrenal: true}
secrets:
  s: {flie: ./s}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:1:1 `serivces` error: the file has no attribute `serivces` (unknown)
        did you mean `services`?
    stack.yml:5:19 `intervall` error: `services.a.healthcheck` has no attribute `intervall` (unknown)
        did you mean `interval`?
    stack.yml:6:26 `limit` error: `services.a.deploy.resources` has no attribute `limit` (unknown)
        did you mean `limits`?
    stack.yml:7:14 `taget` error: `services.a.ports[0]` has no attribute `taget` (unknown)
        did you mean `target`?
    stack.yml:8:22 `conditon` error: `services.a.depends_on.b` has no attribute `conditon` (unknown)
        did you mean `condition`?
    stack.yml:9:20 `alias` error: `services.a.networks.n` has no attribute `alias` (unknown)
        did you mean `aliases`?
    stack.yml:12:7 `drivr` error: `networks.n` has no attribute `drivr` (unknown)
        did you mean `driver`?
    stack.yml:12:29 `configs` error: `networks.n.ipam` has no attribute `configs` (unknown)
        did you mean `config`?
    stack.yml:14:7 `extrenal` error: `volumes.v` has no attribute `extrenal` (unknown)
        did you mean `external`?
    stack.yml:16:7 `flie` error: `secrets.s` has no attribute `flie` (unknown)
        did you mean `file`?
    "#);
}

#[test]
fn a_name_where_an_attribute_is_expected() {
    let text = r#"services:
  web: {image: x}
db:
  image: y
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:1 `db` error: the file has no attribute `db` (unknown)
        a service stands below `services:`: indent `db` and what belongs to it
    "#);
}

#[test]
fn attributes_of_other_places() {
    let text = r#"services:
  a:
    image: x
    services: {}
    driver: local
    replicas: 2
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:5 `services` error: `services.a` has no attribute `services` (unknown)
        `services` belongs to the top of the file, not into a service
    stack.yml:5:5 `driver` error: `services.a` has no attribute `driver` (unknown)
        did you mean `logging.driver`?
    stack.yml:6:5 `replicas` error: `services.a` has no attribute `replicas` (unknown)
        did you mean `deploy.replicas`?
    "#);
}
